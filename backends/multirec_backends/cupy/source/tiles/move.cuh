// How samples come into tiles and leave them.

// A warp's row of a signal: where it begins, whether it is read and written in words of E samples, and by how many samples
// it begins behind one. By votes, which show the compiler that the lanes of a warp agree.
template <class S, int E> struct Line {
  S* at;
  int skew = 0;  // below zero for complex numbers that are only aligned to their parts
  __device__ Line(const Signal& s, const Place& w) : at(kept(::at<S>(s, w.b, w.c))) {
    if (!neighbours(s)) return;
    const size_t address = size_t(at);
#pragma unroll
    for (int d = 1; d < E; d *= 2) skew |= __any_sync(ALL, (address / sizeof(S) & d) != 0) ? d : 0;
    if (alignof(S) < sizeof(S) && __any_sync(ALL, address % sizeof(S) != 0)) skew = -1;
  }
  __device__ static bool neighbours(const Signal& s) { return int(s.access) == VECTOR || int(s.access) == ALONG; }
  __device__ int moved() const { return alignof(S) == sizeof(S) || skew > 0 ? skew : 0; }
  __device__ bool in_words(const Signal& s) const { return neighbours(s) && (alignof(S) == sizeof(S) || skew >= 0); }
};

// Starts to copy a tile's samples, `before` them (of the past, where the row has not begun) and `more` after them, into
// the tiles of a block's rows, or the one tile that they share. After the end lie zeros. `copies_arrived` waits for it.
template <class PAST, class S, int M, int HALO, int BYTES, int E>
__device__ void fetch(const Place& w, const Problem& p, i64 t0, const Tile<S, M, HALO, BYTES>& tile, const Signal& s,
                      const Line<const S, E>& row, const Signal& past, int before, int more, bool shared) {
  constexpr int K = 32 * M;
  const int id = shared ? threadIdx.x : w.lane, threads = shared ? blockDim.x : 32;
  const i64 rest = p.length - t0;
  const int left = rest < K + more ? int(rest) : K + more;
  // one sample of the warp's row
  auto sample = [&](i64 time, int u) {
    S* const to = tile.place(u + row.moved());
    if (u >= left) *to = S();
    else if (t0 + u >= 0) copy_sample(to, row.at + (t0 + u) * time);
    else if (u >= -before)
      *to = past.at ? stored<S>(load(at<const PAST>(past, w.b, w.c) + (before + u) * past.time)) : S();
  };
  if (row.in_words(s)) {
    const S* from = row.at + (t0 - row.skew);
    auto word = [&](int i) {
      const int u = i * E - row.skew;
      if (t0 + u >= 0 && u + E <= rest) return copy_word<E>(tile.place(i * E), from + i * E);
#pragma unroll 1
      for (int e = 0; e < E; ++e) sample(1, u + e);
    };
    if (!shared && rest >= K && t0 >= row.skew) {
#pragma unroll
      for (int k = 0; k < M / E; ++k)
        copy_word<E>((S*)&tile.across(w.lane, k), from + (w.lane + 32 * k) * E);
    } else {
#pragma unroll 1
      for (int i = id; i < K / E; i += threads) word(i);
    }
    const int words = (before + E - 1) / E;
    for (int i = id; i < words + (more || row.skew); i += threads) word(i < words ? -1 - i : K / E);
    return;
  }
  if (int(s.access) == ACROSS) {
    const Signal here = rarely(s);
    w.each_across(K + more, [&](int r, int u) {
      S* const to = tile.of(r - w.warp).place(u);
      if (r < w.rows && u < left) copy_sample(to, at<const S>(here, w.b, w.c0 + r) + (t0 + u) * here.time);
      else *to = S();
    });
  } else {
    const i64 time = only_here(s.time);
#pragma unroll 4
    for (int u = id; u < K + more; u += threads) sample(time, u);
  }
  for (int u = id - before; u < 0; u += threads) sample(s.time, u);
}

// Writes a tile's samples to the warp's row, or to the block's.
template <class S, int M, int HALO, int BYTES, int E>
__device__ void send(const Place& w, const Tile<S, M, HALO, BYTES>& tile, const Signal& s, const Line<S, E>& row) {
  constexpr int K = 32 * M;
  if (int(s.access) == ACROSS) {
    const Signal here = rarely(s);
    w.each_across(K, [&](int r, int u) {
      if (r < w.rows && u < w.left) at<S>(here, w.b, w.c0 + r)[(w.t0 + u) * here.time] = tile.of(r - w.warp)[u];
    });
    return;
  }
  if (!w.active) return;
  if (row.in_words(s)) {
    const int skew = row.skew;
    S* to = row.at + (w.t0 - skew);
    auto word = [&](int i) {
      const int u = i * E - skew;
      const auto& pack = *(const Pack<S, E>*)tile.place(i * E);
      if (u >= 0 && u + E <= w.left) return store_pack(to + i * E, pack);
#pragma unroll 1
      for (int e = 0; e < E; ++e)
        if (u + e >= 0 && u + e < w.left) to[i * E + e] = tile.place(i * E)[e];
    };
    if (w.left == K) {
      S* mine = kept(to + w.lane * E);
#pragma unroll
      for (int k = 0; k < M / E; ++k)
        if (k || w.lane || !skew) store_pack(mine + 32 * k * E, tile.across(w.lane, k));
      if (skew && w.lane < 2) word(w.lane * (K / E));
    } else {
      for (int i = w.lane; i * E - skew < w.left; i += 32) word(i);
    }
    return;
  }
  const i64 time = only_here(s.time);
#pragma unroll 4
  for (int u = w.lane; u < w.left; u += 32) row.at[(w.t0 + u) * time] = tile[u];
}
