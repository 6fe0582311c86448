// The gradient, a piece of time after the other, the last one first: its states again from the one that was kept, and then
// the adjoint of its steps.

template <class X, class O, class CELL, bool ALONG, bool MARKED> __device__ void activated_backward(const Activated& p) {
  using V = compute_t<X>;
  using W = wide_t<V>;
  constexpr int ORDER = CELL::ORDER, SIGNALS = CELL::OWN + CELL::OTHERS, TAPS = largest(CELL::TAPS, 1);
  constexpr int COUNT = 64 / int(sizeof(V)), STRIPS = PIECE / COUNT;
  extern __shared__ __align__(16) unsigned char memory[];
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Row row(p, item);
    const int lane = threadIdx.x;
    unsigned char* place = memory;
    // each state's newest number, before the piece and after each sample; and how many samples a sequence had before one
    V* const found = (V*)place + lane;
    place += (PIECE + ORDER) * 32 * sizeof(V);
    unsigned short* const ages = (unsigned short*)place + lane;
    if (MARKED) place += PIECE * 32 * sizeof(short);
    Strips<X, O, CELL, COUNT, ALONG> signals;
    Strip<X, COUNT, ALONG> grad_y;
    Strip<int, COUNT, ALONG> numbers;
    Sink<X, COUNT, ALONG> to_x[CELL::OWN];
    Sink<O, COUNT, ALONG> to_others[largest(CELL::OTHERS, 1)];
    signals.each(SIGNALS, [&](auto& strip, int n) {
      strip.at_memory(place);
      strip.begin(p.signals[n], row.b, row.c);
    });
    grad_y.at_memory(place);
    grad_y.begin(p.grad_y, row.b, row.c);
#pragma unroll
    for (int n = 0; n < CELL::OWN; ++n) {
      to_x[n].at_memory(place);
      to_x[n].begin(p.grads[n], row.b, row.c, row.active);
    }
#pragma unroll
    for (int n = 0; n < CELL::OTHERS; ++n) {
      to_others[n].at_memory(place);
      to_others[n].begin(p.grads[CELL::OWN + n], row.b, row.c, row.active);
    }
    if (MARKED) {
      numbers.at_memory(place);
      numbers.begin(p.numbers, row.b, 0);
    }
    __syncwarp();
    // strips of a piece come forwards, and then backwards
    const auto from_of = [&](i64 piece, int n) { return piece * PIECE + (n < STRIPS ? n : 2 * STRIPS - 1 - n) * COUNT; };
    const auto fetch = [&](int half, i64 piece, int n) {
      const i64 from = from_of(piece, n);
      signals.each(n < STRIPS ? CELL::DRIVING : SIGNALS, [&](auto& strip, int) { strip.fetch(half, from, p.length); });
      if (n >= STRIPS) grad_y.fetch(half, from, p.length);
      if (MARKED) numbers.fetch(half, from, p.length);
    };
    V w[TAPS] = {}, lambda[ORDER] = {}, coming[ORDER] = {};
    W sums[TAPS] = {};
    take_parameters<CELL>(w, p, row);
    const V scale = V(p.scale);
    const Told<MARKED> marks(p, row.b);
    const auto skip = [&](i64 s) {
      V through[ORDER];
      take_state<ORDER>(through, p.grad_last, s, row.c);
      leave_state<ORDER>(through, p.grad_state, s, row);
    };
    const bool empty = marks.first == marks.end;
    int current = 0;
    if constexpr (MARKED) {
      if (marks.count) marks.skipped(marks.end, skip);
      else if (empty || marks.of(marks.first) != marks.before) {
        take_state<ORDER>(lambda, p.grad_last, row.b, row.c, empty);
        leave_state<ORDER>(lambda, p.grad_state, row.b, row);
      }
    } else take_state<ORDER>(lambda, p.grad_last, row.b, row.c);
    // hands out the gradient of the state before the sequence that begins at t
    const auto close = [&](i64 t) {
      if constexpr (MARKED) {
        if (marks.takes_state(current)) leave_state<ORDER>(lambda, p.grad_state, marks.state(row.b, current), row);
        if (marks.count) marks.skipped(t, skip);
      }
    };
    const i64 pieces = (p.length + PIECE - 1) / PIECE;
    const auto take_start = [&](i64 piece) {
#pragma unroll
      for (int k = 0; k < ORDER; ++k)
        if (piece >= 0) coming[k] = load((const V*)start_of<V>(p, row.row, piece, ORDER, k));
    };
    if (pieces) {
      fetch(0, pieces - 1, 0);
      take_start(pieces - 1);
    }
    int half = 0;
    for (i64 piece = pieces - 1; piece >= 0; --piece) {
      V state[ORDER];
      int age = ORDER, previous = 0;
#pragma unroll
      for (int k = 0; k < ORDER; ++k) found[(ORDER - 1 - k) * 32] = state[k] = coming[k];
      if constexpr (MARKED)
        if (marks.has(piece * PIECE - 1)) previous = marks.of(piece * PIECE - 1);
#pragma unroll 1
      for (int n = 0; n < 2 * STRIPS; ++n, half = 1 - half) {
        const i64 from = from_of(piece, n);
        const bool again = n < STRIPS, last = n == 2 * STRIPS - 1;
        copies_arrived();
        signals.each(again ? CELL::DRIVING : SIGNALS, [&](auto& strip, int) { strip.arrive(half); });
        if (!again) grad_y.arrive(half);
        __syncwarp();
        if (!last || piece) fetch(1 - half, last ? piece - 1 : piece, last ? 0 : n + 1);
        if (n == STRIPS) take_start(piece - 1);
        if (again) {
#pragma unroll 4
          for (int u = 0; u < COUNT; ++u) {
            const i64 t = from + u;
            const int at = int(t - piece * PIECE);
            if (t >= p.length || !marks.has(t)) continue;
            if constexpr (MARKED) {
              const int number = numbers.slot(half, lane, u);
              if (t == marks.first || number != previous) {
                previous = number, age = 0;
                take_state<ORDER>(state, p.state, marks.state(row.b, number), row.c, marks.takes_state(number));
              }
              ages[at * 32] = (unsigned short)age++;
            }
            V s[SIGNALS];
            signals.get(s, half, u);
            CELL::step(s, w, state, scale);
            found[(ORDER + at) * 32] = state[0];
          }
          continue;
        }
        V parts[TAPS] = {};
#pragma unroll 2
        for (int u = COUNT - 1; u >= 0; --u) {
          const i64 t = from + u;
          const int at = int(t - piece * PIECE);
          if (t >= p.length) continue;
          V to_s[SIGNALS] = {};
          if (marks.has(t)) {
            V s[SIGNALS], before[ORDER], to_w[TAPS] = {};
            signals.get(s, half, u);
#pragma unroll
            for (int k = 0; k < ORDER; ++k) before[k] = found[(ORDER + at - 1 - k) * 32];
            if constexpr (MARKED) {
              const int number = numbers.slot(half, lane, u), own = ages[at * 32];
              if (t + 1 == marks.end || number != current) {
                if (t + 1 < marks.end) close(t + 1);
                current = number;
                take_state<ORDER>(lambda, p.grad_last, marks.state(row.b, number), row.c, marks.leaves_state(number));
              }
              const i64 states = marks.state(row.b, number);
              const bool given = marks.takes_state(number);
#pragma unroll
              for (int k = 0; k < ORDER; ++k)
                if (k >= own) before[k] = state_number<ORDER, V>(p.state, states, row.c, k - own, given);
            }
            CELL::adjoint(s, w, before, found[(ORDER + at) * 32], grad_y.template get<V>(half, u), lambda, to_s, to_w, scale);
#pragma unroll
            for (int k = 0; k < CELL::TAPS; ++k) parts[k] += to_w[k];
          }
#pragma unroll
          for (int m = 0; m < CELL::OWN; ++m) to_x[m].put(signals.of_x[m], half, u, t, to_s[m]);
#pragma unroll
          for (int m = 0; m < CELL::OTHERS; ++m) to_others[m].put(signals.others[m], half, u, t, to_s[CELL::OWN + m]);
        }
#pragma unroll
        for (int k = 0; k < CELL::TAPS; ++k) sums[k] += to<W>(parts[k]);
        if (!ALONG) continue;
        __syncwarp();
#pragma unroll
        for (int m = 0; m < CELL::OWN; ++m) to_x[m].flush(signals.of_x[m], half, from, p.length);
#pragma unroll
        for (int m = 0; m < CELL::OTHERS; ++m) to_others[m].flush(signals.others[m], half, from, p.length);
        __syncwarp();
      }
    }
    if constexpr (MARKED) {
      if (!empty) close(marks.first);
    } else leave_state<ORDER>(lambda, p.grad_state, row.b, row);
    if (p.sums && row.active)
#pragma unroll
      for (int k = 0; k < CELL::TAPS; ++k) ((W*)p.sums)[row.row * CELL::TAPS + k] = sums[k];
    __syncwarp();
  }
}
