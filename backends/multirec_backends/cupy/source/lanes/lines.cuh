// How the lane-serial kernels are laid out.
//
// A lane owns a *segment* of a row's time and runs it sample by sample, with the last outputs in registers. The lanes of a
// warp own neighbouring rows, 1 << log_rows of them, and of each row neighbouring segments; a block is one warp. Where rows
// share x, they are of one example, so that their gradients of x can be added up.
//
// Time goes by in *lines* of 128 bytes a lane. They pass through shared memory, so that memory is read and written along
// whichever axis is contiguous, while every lane finds its own samples: in words of 16 bytes where rows are aligned so
// (VECTOR), sample by sample along time (SCALAR), or each lane on its own where neighbouring lanes have neighbouring
// channels (ACROSS).

// The lines of a warp, in slots of 16 bytes, which change places so that neighbouring lanes are on different banks.
template <class V> struct Lines {
  static constexpr int E = 16 / int(sizeof(V)), SLOTS = 8, U = E * SLOTS;
  V* values;
  __device__ Pack<V, E>& slot(int line, int k) const {
    return *(Pack<V, E>*)(values + line * U + ((k ^ line) & (SLOTS - 1)) * E);
  }
  __device__ V& sample(int line, int u) const { return slot(line, u / E).values[u % E]; }
};

// What `lanes_trust` found of a row's coefficients; above it, from MEMORY on, after how many samples nothing is left of a
// state, if that is less than a segment.
enum Trust { CAREFUL = 1, ALONE = 2, MEMORY = 4 };

// The table of powers: for each row of coefficients how far they can be trusted, then the power over a segment.
template <class WA, int N> struct Table {
  static constexpr i64 SIZE = N * N + 1;
  i64 row;
  WA* begin;
  __device__ static i64 rows(const Problem& p) {
    return (p.a.batch ? p.batch : 1) * (p.a.channel ? p.channels : 1);
  }
  __device__ Table(const Problem& p, i64 row_) : row(row_), begin((WA*)p.powers + row_ * SIZE) {}
  __device__ Table(const Problem& p, i64 b, i64 c)
      : Table(p, (p.a.batch ? b : 0) * (p.a.channel ? p.channels : 1) + (p.a.channel ? c : 0)) {}
  __device__ i64& trust() const { return *(i64*)begin; }
  __device__ WA* matrix() const { return begin + 1; }
  template <class A> __device__ const A* taps(const Problem& p) const {
    const i64 each = p.a.channel ? p.channels : 1;
    return at<const A>(p.a, row / each, row % each);
  }
};

// Where a lane stands. A lane without a segment reads nothing and writes nothing.
struct Lane {
  i64 b, c, row, group, segment, t0;
  i64 count, least;    // samples to run, and the fewest of the warp's lanes
  i64 first, stop;     // the lines that the warp runs
  i64 end;             // of those that it has, which it at least looks at
  int lane, log_rows;
  bool exists, careful, alone;

  __device__ Lane(const Problem& p, i64 item, int samples) {
    lane = threadIdx.x & 31;
    log_rows = int(p.log_rows);
    const int segments = 32 >> log_rows;
    const i64 chunks = (p.segments + segments - 1) / segments, last = p.batch * p.channels - 1;
    const i64 own = lane & ((1 << log_rows) - 1);
    group = item / chunks;
    segment = item % chunks * segments + (lane >> log_rows);
    exists = segment < p.segments;
    if (p.shares_x) {
      b = group / p.groups;
      c = (group % p.groups << log_rows) + own;
      exists = exists && c < p.channels;
      if (c >= p.channels) c = p.channels - 1;
    } else {
      row = (group << log_rows) + own;
      exists = exists && row <= last;
      if (row > last) row = last;
      b = row / p.channels;
      c = row % p.channels;
    }
    row = b * p.channels + c;
    if (segment >= p.segments) segment = p.segments - 1;
    const i64 all = p.tiles * samples;
    t0 = segment * all;
    count = p.length - t0 < all ? p.length - t0 : all;
    if (!exists) count = 0;
    careful = alone = false;
  }
  // Decides what the lane runs in a phase. A row whose powers cannot be trusted is run by its first lane alone; rows that
  // share x pass through the same lines, so they go together.
  template <bool EXACT_, bool BACK> __device__ void settle(const Problem& p, int phase, i64 trust, int samples) {
    careful = trust & CAREFUL;
    alone = trust & ALONE;
    if (p.shares_x) {
      alone = __any_sync(ALL, alone);
      if (EXACT_) careful = __any_sync(ALL, careful);
    }
    if (phase == 1) {
      // nobody asks where the last one ends; in a warp that has others it costs nothing
      if (alone || (log_rows == 5 && segment == (BACK ? 0 : p.segments - 1))) count = 0;
    } else if (alone) count = exists && segment == 0 ? p.length : 0;
    if (phase == 3 && (alone || !careful)) {
      exists = false;
      count = 0;
    }
    // an end state depends on the last samples alone
    const i64 memory = trust / MEMORY, needed = phase == 1 && memory && memory < count ? memory : count;
    least = least_of(count);
    first = BACK ? 0 : least_of(count ? count - needed : p.length) / samples;
    stop = (-least_of(BACK ? -needed : -count) + samples - 1) / samples;
    end = (-least_of(-count) + samples - 1) / samples;
  }
  __device__ i64 least_of(i64 own) const {
    for (int d = 1; d < 32; d *= 2) {
      const i64 other = from_lane(own, lane ^ d);
      if (other < own) own = other;
    }
    return own;
  }
  // where the lane's segment of a signal begins, for `read_lines` and `write_lines`; LOG: of the rows that have it in common
  __device__ void place(i64* begins, const Signal& s, int log) const {
    if ((lane & ((1 << log) - 1)) == 0) begins[lane >> log] = b * s.batch + c * s.channel + t0 * s.time;
  }
  // how many of the lane's samples are left from `from` on, up to those of a line
  __device__ int left(i64 from, int samples) const {
    const i64 rest = count - from;
    return rest <= 0 ? 0 : rest < samples ? int(rest) : samples;
  }
};

// Calls f(i, line, place, offset, whether it is there) for the samples of lines, eight in a row for each lane, and then
// g(i, line, place): `place` is where a sample is in its line, `offset` how far from the line's first in memory.
template <class V, class F, class G>
__device__ inline void each_sample(const Lane& w, const Signal& s, int log, i64 from, F f, G g) {
  constexpr int U = Lines<V>::U, PER = 32 / U;
  const int count = 32 >> log, rest = w.left(from, U);
  // what only this place can compute is not kept in registers from line to line
  const i64 time = only_here(s.time);
  const int lane = only_here(w.lane);
  if (int(s.access) == ACROSS) {
    // every lane its own line
    i64 offset = from * time;
#pragma unroll 1
    for (int n = 0; n < U; n += 8) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        f(i, lane, n + i, offset, n + i < rest);
        offset += time;
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) g(i, lane, n + i);
    }
    return;
  }
  // neighbouring lanes neighbouring samples
  const bool whole = from + U <= w.least;
  const int u = lane % U, first = lane / U;
  const i64 offset = (from + u) * time;
#pragma unroll
  for (int n = 0; n < U; n += 8) {
    if (n * PER >= count) break;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int line = (n + i) * PER + first, left = whole ? U : from_lane(rest, line << log & 31);
      f(i, line, u, offset, line < count && u < left);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) g(i, (n + i) * PER + first, u);
  }
}

// Reads the lines from sample `from` of each segment on; zeros where there is none. 1 << LOG rows have a line in common.
template <class S, class V>
__device__ void read_lines(const Lane& w, const Lines<V>& lines, const Signal& s, const i64* begins, int log, i64 from) {
  constexpr int E = Lines<V>::E, U = Lines<V>::U;
  const int count = 32 >> log;
  if (int(s.access) == VECTOR) {
    const int first = w.lane >> 3, k = w.lane & 7;
    const S* const at = (const S*)s.at + (from + k * E);
    auto keep = [&](int line, const Pack<S, E>& read) {
      Pack<V, E> pack;
#pragma unroll
      for (int e = 0; e < E; ++e) pack.values[e] = to<V>(value(read.values[e]));
      lines.slot(line, k) = pack;
    };
    Pack<S, E> packs[8];
    if (log == 0 && from + U <= w.least) {
#pragma unroll
      for (int i = 0; i < 8; ++i) packs[i] = load_pack<E>(at + begins[4 * i + first]);
#pragma unroll
      for (int i = 0; i < 8; ++i) keep(4 * i + first, packs[i]);
      return;
    }
    const int rest = w.left(from, U);
    if (log) {
#pragma unroll 1
      for (int line = first; line - first < count; line += 4) {
        const int left = from_lane(rest, line << log & 31);
        if (line < count) keep(line, k * E < left ? load_pack<E>(at + begins[line]) : Pack<S, E>{});
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int left = from_lane(rest, 4 * i + first);
      packs[i] = {};
      if (k * E < left) packs[i] = load_pack<E>(at + begins[4 * i + first]);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) keep(4 * i + first, packs[i]);
    return;
  }
  compute_t<S> samples[8];
  each_sample<V>(
      w, s, log, from,
      [&](int i, int line, int, i64 offset, bool there) {
        samples[i] = compute_t<S>();
        if (there) samples[i] = load((const S*)s.at + (begins[line] + offset));
      },
      [&](int i, int line, int u) {
        if (line < count) lines.sample(line, u) = to<V>(samples[i]);
      });
}

template <class S, class V>
__device__ void write_lines(const Lane& w, const Lines<V>& lines, const Signal& s, const i64* begins, i64 from) {
  constexpr int E = Lines<V>::E, U = Lines<V>::U;
  if (int(s.access) == VECTOR) {
    const int first = w.lane >> 3, k = w.lane & 7;
    S* const at = (S*)s.at + (from + k * E);
    auto give = [&](int line) {
      const Pack<V, E> pack = lines.slot(line, k);
      Pack<S, E> out;
#pragma unroll
      for (int e = 0; e < E; ++e) out.values[e] = stored<S>(pack.values[e]);
      store_pack(at + begins[line], out);
    };
    if (from + U <= w.least) {
#pragma unroll
      for (int i = 0; i < 8; ++i) give(4 * i + first);
      return;
    }
    const int rest = w.left(from, U);
#pragma unroll 1
    for (int line = first; line < 32; line += 4)
      if (k * E < from_lane(rest, line)) give(line);
    return;
  }
  each_sample<V>(
      w, s, 0, from,
      [&](int, int line, int u, i64 offset, bool there) {
        if (there) store((S*)s.at + (begins[line] + offset), lines.sample(line, u));
      },
      [](int, int, int) {});
}

// The sum of magnitudes of the lane's line: no number, or infinite, where something is not finite.
template <class V> __device__ typename Number<V>::real size_of_line(const Lines<V>& lines, int line) {
  typename Number<V>::real sum = 0;
#pragma unroll
  for (int k = 0; k < Lines<V>::SLOTS; ++k) {
    const Pack<V, Lines<V>::E> pack = lines.slot(line, k);
#pragma unroll
    for (int e = 0; e < Lines<V>::E; ++e) sum += magnitude(pack.values[e]);
  }
  return sum;
}

// Whether an end state would show what is far enough behind it to be forgotten: where that was so much louder than what
// is not, where it may overflow, and where it is not finite.
template <class R> __device__ bool shows(R far, R near) { return !(far <= 100 * near && far <= R(sizeof(R) == 8 ? 1e200 : 1e25)); }

// Adds up the lines of rows that share x.
template <class V> __device__ void sum_lines(const Lane& w, const Lines<V>& lines, const SumX<V>& sums, i64 from) {
  constexpr int E = Lines<V>::E;
  const int k = w.lane & 7, part = w.lane >> 3, rows = 1 << w.log_rows, rest = w.left(from, Lines<V>::U);
  for (int s = 0; s < 32 >> w.log_rows; ++s) {
    Pack<V, E> sum = {};
#pragma unroll 8
    for (int r = part; r < rows; r += 4) {
      const Pack<V, E> line = lines.slot(s * rows + r, k);
#pragma unroll
      for (int e = 0; e < E; ++e) add(sum.values[e], line.values[e]);
    }
#pragma unroll
    for (int e = 0; e < E; ++e) {
      add(sum.values[e], from_lane(sum.values[e], w.lane ^ 8));
      add(sum.values[e], from_lane(sum.values[e], w.lane ^ 16));
    }
    const int left = from_lane(rest, s << w.log_rows);
    const i64 t0 = from_lane(w.t0, s << w.log_rows);
    if (part == 0 && k * E < left) store_pack<true>(sums.at + (t0 + from + k * E), sum);
  }
}
