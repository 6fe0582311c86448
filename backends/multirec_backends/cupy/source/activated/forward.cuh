// y and the state after the block, and the states before every PIECE samples where they are kept.

template <class X, class O, class CELL, bool ALONG, bool MARKED> __device__ void activated_forward(const Activated& p) {
  using V = compute_t<X>;
  constexpr int ORDER = CELL::ORDER, SIGNALS = CELL::OWN + CELL::OTHERS;
  constexpr int COUNT = (SIGNALS > 2 ? 64 : 128) / int(sizeof(V));
  extern __shared__ __align__(16) unsigned char memory[];
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Row row(p, item);
    unsigned char* place = memory;
    Strips<X, O, CELL, COUNT, ALONG> signals;
    Strip<int, COUNT, ALONG> numbers;
    Sink<X, COUNT, ALONG> y;
    signals.each(SIGNALS, [&](auto& strip, int n) {
      strip.at_memory(place);
      strip.begin(p.signals[n], row.b, row.c);
    });
    y.at_memory(place);
    y.begin(p.y, row.b, row.c, row.active);
    if (MARKED) {
      numbers.at_memory(place);
      numbers.begin(p.numbers, row.b, 0);
    }
    __syncwarp();
    const auto fetch = [&](int half, i64 from) {
      signals.each(SIGNALS, [&](auto& strip, int) { strip.fetch(half, from, p.length); });
      if (MARKED) numbers.fetch(half, from, p.length);
    };
    fetch(0, 0);
    V w[largest(CELL::TAPS, 1)] = {}, state[ORDER] = {};
    take_parameters<CELL>(w, p, row);
    const V scale = V(p.scale);
    const Told<MARKED> marks(p, row.b);
    int previous = 0;
    if (!MARKED) take_state<ORDER>(state, p.state, row.b, row.c);
    const auto skip = [&](i64 s) {
      V through[ORDER];
      take_state<ORDER>(through, p.state, s, row.c);
      leave_state<ORDER>(through, p.last, s, row);
    };
    int half = 0;
    for (i64 from = 0; from < p.length; from += COUNT, half = 1 - half) {
      copies_arrived();
      signals.each(SIGNALS, [&](auto& strip, int) { strip.arrive(half); });
      __syncwarp();
      if (from + COUNT < p.length) fetch(1 - half, from + COUNT);
      if (p.starts && row.active && from % PIECE == 0)
#pragma unroll
        for (int k = 0; k < ORDER; ++k) *start_of<V>(p, row.row, from / PIECE, ORDER, k) = state[k];
#pragma unroll 4
      for (int u = 0; u < COUNT; ++u) {
        const i64 t = from + u;
        if (t >= p.length) break;
        V result = V();
        if (marks.has(t)) {
          if constexpr (MARKED) {
            const int number = numbers.slot(half, threadIdx.x, u);
            if (t == marks.first || number != previous) {
              if (marks.count) {
                if (t > marks.first) leave_state<ORDER>(state, p.last, previous, row);
                marks.skipped(t, skip);
              }
              previous = number;
              take_state<ORDER>(state, p.state, marks.state(row.b, number), row.c, marks.takes_state(number));
            }
          }
          V s[SIGNALS];
          signals.get(s, half, u);
          result = CELL::step(s, w, state, scale);
        }
        y.put(signals.of_x[0], half, u, t, result);
      }
      if (!ALONG) continue;
      __syncwarp();
      y.flush(signals.of_x[0], half, from, p.length);
      __syncwarp();
    }
    if constexpr (MARKED) {
      const bool empty = marks.first == marks.end;
      if (marks.count) {
        if (!empty) leave_state<ORDER>(state, p.last, previous, row);
        marks.skipped(marks.end, skip);
      } else {
        if (empty || previous != marks.after) take_state<ORDER>(state, p.state, row.b, row.c, empty);
        leave_state<ORDER>(state, p.last, row.b, row);
      }
    } else leave_state<ORDER>(state, p.last, row.b, row);
    __syncwarp();
  }
}
