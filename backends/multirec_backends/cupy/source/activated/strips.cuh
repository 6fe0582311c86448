// What the kernels of recurrences with an activation inside are told, and how samples come and go.
//
// A warp has 32 neighbouring rows, a lane one of them, and steps through time. Rows of all examples are counted in one go.

struct Activated {
  i64 channels, length, rows, items;
  i64 count, backwards;  // states, one a sequence, or 0 for one an example; `numbers` are then seen backwards
  double scale;
  Signal signals[4], grads[4];
  Signal y, state, last, grad_y, grad_last, grad_state;
  Signal numbers;      // of sequences, (B, 1, T) int32
  Taps parameters[2];
  void *starts, *sums;  // the states before each piece, (piece, number from the oldest on, row); sums over time (row, tap)
};

constexpr int PIECE = 64;  // samples from one start to the next

// One signal, COUNT samples of each row at a time in shared memory, of which those of the next strip are on their way. If
// ALONG, lanes are next to each other in time while they read and write memory, and in rows while they compute.
template <class S, int COUNT, bool ALONG> struct Strip {
  static constexpr int PITCH = COUNT + 1, HELD = sizeof(S) == 2 ? COUNT : 1;
  static constexpr int BYTES = round_up(2 * 32 * PITCH * int(sizeof(S)), 16) + 32 * 8;
  S* slots;
  const S** begins;  // of rows
  const S* own;
  i64 step;
  S held[HELD];  // half types cannot be copied one by one without passing by registers
  __device__ static int row_of(int n) { return ALONG ? n * (32 / COUNT) + int(threadIdx.x) / COUNT : int(threadIdx.x); }
  __device__ static int sample_of(int n) { return ALONG ? int(threadIdx.x) % COUNT : n; }

  __device__ void at_memory(unsigned char*& memory) {
    begins = (const S**)memory;
    slots = (S*)(memory + 32 * 8);
    memory += BYTES;
  }
  __device__ void begin(const Signal& s, i64 b, i64 c) {
    own = at<const S>(s, b, c);
    step = s.time;
    if (ALONG) begins[threadIdx.x] = own;
  }
  __device__ S& slot(int half, int row, int u) const { return slots[(half * 32 + row) * PITCH + u]; }
  __device__ void fetch(int half, i64 from, i64 length) {
#pragma unroll
    for (int n = 0; n < COUNT; ++n) {
      const i64 t = from + sample_of(n);
      const S* const place = (ALONG ? begins[row_of(n)] : own) + t * step;
      if constexpr (HELD > 1) {
        if (t < length) held[n].bits = __ldg(&place->bits);
      } else if (t < length) copy_sample(&slot(half, row_of(n), sample_of(n)), place);
    }
  }
  // after `copies_arrived`, and before a barrier of the warp
  __device__ void arrive(int half) const {
    if constexpr (HELD > 1)
#pragma unroll
      for (int n = 0; n < COUNT; ++n) slot(half, row_of(n), sample_of(n)) = held[n];
  }
  template <class V> __device__ V get(int half, int u) const { return to<V>(value(slot(half, threadIdx.x, u))); }
};

// A result, which leaves by the slots of a signal that is no longer needed.
template <class S, int COUNT, bool ALONG> struct Sink {
  static constexpr int BYTES = 32 * 8;
  S** begins;
  S* own;
  i64 step;
  __device__ void at_memory(unsigned char*& memory) {
    begins = (S**)memory;
    memory += BYTES;
  }
  __device__ void begin(const Signal& s, i64 b, i64 c, bool active) {
    own = s.at && active ? at<S>(s, b, c) : nullptr;
    step = s.time;
    if (ALONG) begins[threadIdx.x] = own;
  }
  template <class V> __device__ void put(const Strip<S, COUNT, ALONG>& strip, int half, int u, i64 t, V result) const {
    if constexpr (ALONG) strip.slot(half, threadIdx.x, u) = stored<S>(result);
    else if (own) store(own + t * step, result);
  }
  // between barriers of the warp
  __device__ void flush(const Strip<S, COUNT, ALONG>& strip, int half, i64 from, i64 length) const {
    if constexpr (ALONG)
#pragma unroll
      for (int n = 0; n < COUNT; ++n) {
        const int row = strip.row_of(n), u = strip.sample_of(n);
        S* const to = begins[row];
        if (to && from + u < length) to[(from + u) * step] = strip.slot(half, row, u);
      }
  }
};

// the signals of a cell, of which `fetch` asks for the first ones
template <class X, class O, class CELL, int COUNT, bool ALONG> struct Strips {
  static constexpr int OWN = CELL::OWN, OTHERS = CELL::OTHERS, ALL_OF_THEM = OWN + OTHERS;
  Strip<X, COUNT, ALONG> of_x[OWN];
  Strip<O, COUNT, ALONG> others[largest(OTHERS, 1)];
  template <class F> __device__ void each(int count, F f) {
#pragma unroll
    for (int n = 0; n < OWN; ++n)
      if (n < count) f(of_x[n], n);
#pragma unroll
    for (int n = 0; n < OTHERS; ++n)
      if (OWN + n < count) f(others[n], OWN + n);
  }
  template <class V> __device__ void get(V* to, int half, int u) const {
#pragma unroll
    for (int n = 0; n < OWN; ++n) to[n] = of_x[n].template get<V>(half, u);
#pragma unroll
    for (int n = 0; n < OTHERS; ++n) to[OWN + n] = others[n].template get<V>(half, u);
  }
};

// A lane's row. One that there is none for reads as the last row does, and writes nothing.
struct Row {
  i64 row, b, c;
  bool active;
  __device__ Row(const Activated& p, i64 item) {
    row = item * 32 + threadIdx.x;
    active = row < p.rows;
    if (!active) row = p.rows - 1;
    b = row / p.channels, c = row % p.channels;
  }
};
template <class CELL, class V> __device__ inline void take_parameters(V* to, const Activated& p, const Row& row) {
#pragma unroll
  for (int k = 0; k < CELL::TAPS; ++k) {
    const Taps& taps = p.parameters[k / CELL::EACH];
    to[k] = load(at<const V>(taps, row.b, row.c) + k % CELL::EACH * taps.tap);
  }
}
// the k-th newest number of the state of a sequence or an example, or zero
template <int ORDER, class V>
__device__ inline V state_number(const Signal& states, i64 s, i64 c, int k, bool given) {
  return given && states.at ? load(at<const V>(states, s, c) + (ORDER - 1 - k) * states.time) : V();
}
template <int ORDER, class V> __device__ inline void take_state(V* to, const Signal& states, i64 s, i64 c, bool given = true) {
#pragma unroll
  for (int k = 0; k < ORDER; ++k) to[k] = state_number<ORDER, V>(states, s, c, k, given);
}
template <int ORDER, class V>
__device__ inline void leave_state(const V* from, const Signal& states, i64 s, const Row& row) {
  if (!states.at || !row.active) return;
#pragma unroll
  for (int k = 0; k < ORDER; ++k) store(at<V>(states, s, row.c) + (ORDER - 1 - k) * states.time, from[k]);
}
// the state before a piece
template <class V> __device__ inline V* start_of(const Activated& p, i64 row, i64 piece, int order, int k) {
  return (V*)p.starts + (piece * order + order - 1 - k) * p.rows + row;
}

// which samples are of a sequence; without marks all of them are, of one
template <bool MARKED> struct Told : Marks {
  __device__ Told(const Activated& p, i64 b) : Marks(p.numbers, p.length, p.count, p.backwards, b) {}
};
template <> struct Told<false> {
  i64 first, end;
  __device__ Told(const Activated& p, i64) : first(0), end(p.length) {}
  __device__ bool has(i64) const { return true; }
};
