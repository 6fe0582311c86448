// What a kernel is told of a call, and where its arrays are.
//
// A *row* is one sequence: an example and a channel. Time that runs backwards is a negative stride. Strides count elements,
// and all indices are 64 bits wide. Few long rows are split into *segments* of time, in three launches: phase 1 gives each
// segment's end state from zero state, a carry kernel scans those, and phase 2 runs each segment from its true state. Phase
// 0 is the only launch of rows that are not split.

enum Access { SCALAR, VECTOR, ACROSS, ALONG };  // ALONG: as VECTOR, of rows that begin anywhere
enum Wants { WANTS_X = 1, WANTS_TAPS = 2, WANTS_FEEDBACK = 4 };
struct Signal { void* at; i64 batch, channel, time, access; };
// Coefficients; if they come at a frame rate (Framed), time is that from a frame to the next, of which `last` is the last one.
// A frame is `part` of the way to the next for each sample, or 0; the first sample is `offset` samples behind the first frame.
struct Taps {
  void* at;
  i64 batch, channel, time, tap, access, hop, offset, last;
  double part;
};

struct Problem {
  i64 batch, channels, length, order, input_order;
  i64 log_rows, groups, segments, tiles, items;  // rows of a block; blocks of an example; tiles of a segment
  i64 phase, last, wants;                        // `last`: samples of last_y; `wants`: what gradients, of `Wants`
  i64 shares_x, block_sync;                      // rows of a block have the same x; warps read each other's tiles
  Signal x, y, inputs, outputs;
  Signal last_x, last_y;  // x's last and y's last, unrounded, which forward writes where they are given
  Signal grad_y, grad_last, grad_x, grad_inputs, grad_outputs;
  Signal numbers;  // of sequences, (B, 1, T) int32
  Taps b, a, grad_b, grad_a;
  // states of segments, (row, segment, state); where feedback varies, of two numbers: the only output, and at `ends` the
  // product of feedback, at `starts` whether the row is unstable
  void *ends, *starts;
  void* sums;           // sums over time, (row, segment, taps of b then of a)
  void* sum_x;          // gradients of a shared x summed over each block's rows, (example, group, block and past)
  void* ring;           // past values of the sequential kernels, (past, row)
  void* again;          // whether segments of a row run again, from mended starts: phase 3; of `products`, one after another
  void* powers;         // of lane-serial kernels: the table of rows' powers, see `lanes`
  void* frames;         // of coefficients that come at a frame rate: what segments give to frames, see `products`
};

// of powers of a companion matrix; the scan loses digits with the square of this
constexpr double LARGEST_POWER = 1e4;
// of products of feedback that varies: float has digits to spare, double has not
template <class V> constexpr double LARGEST_PRODUCT = same<typename Number<V>::real, float> ? 1e4 : 1e2;
// Rows in which scanning would add more than this to the error, over that of a run sample by sample, are CAREFUL.
constexpr double LARGEST_LOSS = 2;

__host__ __device__ constexpr int round_up(int n, int m) { return (n + m - 1) / m * m; }
__host__ __device__ constexpr int largest(int a, int b) { return a > b ? a : b; }

template <class T> __device__ inline T* at(const Signal& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}
// for paths that are rarely taken, so that they cost the others no registers
__device__ inline Signal rarely(const Signal& s) {
  return {s.at, only_here(s.batch), only_here(s.channel), only_here(s.time), s.access};
}
template <class T> __device__ inline T* at(const Taps& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}

// Keeps a row's last inputs, of which the calling threads copy every `step`-th from the n-th on; once a row. Of an x that
// channels share, the first one's.
template <class X> __device__ inline void write_last_x(const Problem& p, i64 b, i64 c, int n, int step) {
  if (!p.last_x.at || (c && !p.last_x.channel)) return;
  const X* from = at<const X>(p.x, b, c) + (p.length - p.input_order) * p.x.time;
  X* to = at<X>(p.last_x, b, c);
  for (i64 j = n; j < p.input_order; j += step) store(to + j * p.last_x.time, load(from + j * p.x.time));
}
