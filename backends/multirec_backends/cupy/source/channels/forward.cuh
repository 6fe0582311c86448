// Forward: tile by tile.

template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int S, bool SHARED>
__device__ void channels_forward(const Problem& p) {
  using C = Channels<X, Y, B, A, P, Q, VB, VA, S, SHARED, false>;
  using V = typename C::V;
  using W = typename C::W;
  extern __shared__ __align__(16) unsigned char memory[];
  const int phase = int(p.phase);

  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Lanes w(p, item, CHANNELS<Y>);
    const Board<C> board{memory, w.lane, w.warp, w.warps};
    const Forwards<B, Q, VB> b(p, w);
    A a[C::P1];
    read_feedback<A, C::P1, VA>(a, p, w);
    const Means means = means_of<C, A, P, S, VA>(p, w, board, a, phase);
    Hand<C, A, C::P1, S, VA, false> hand{board, means.careful, means.in_turn};

    if (P > 0 && w.warp == 0) {
#pragma unroll
      for (int k = 0; k < P; ++k) {
        W start = W();
        if (phase > 1 && !means.alone) start = load(w.own<const W>(p.starts, p, C::STATES) + k);
        else if (phase != 1 && p.outputs.at)
          start = to<W>(load(w.at<const state_t<Y>>(p.outputs) + (P - 1 - k) * p.outputs.time));
        board.carried(0, k) = start;
      }
    }
    const auto x_row = kept(w.at<const X>(p.x));
    const auto a_row = w.at<const A>(p.a);
    const auto y_row = kept(w.at<Y>(p.y));
    // how many of the samples from t on there are to write
    auto left_of = [&](i64 t) { return !w.active || t >= p.length ? 0 : t + S <= p.length ? S : int(p.length - t); };
    auto write_last = [&](i64 t, const V(&v)[S], int channels) {
      const i64 first = p.length - p.last;
      if (!p.last_y.at || t + S <= first || !w.active) return;
#pragma unroll 1
      for (int k = 0; k < int(p.last); ++k) {
        const int place = only_here(int(first - t)) + k;
        V y = V();
#pragma unroll
        for (int i = 0; i < S; ++i)
          if (i == place) y = v[i];
        if (place < 0 || place >= S) continue;
        store(in_channels(channels, w.at<state_t<Y>>(rarely(p.last_y))) + k * p.last_y.time, y);
      }
    };
    // what follows a value that is not finite in its row
    auto forget = [&](int n, int mine) {
      mine &= w.active;
      if (!mine) return;
      const i64 t = w.run(n) * S;
      V lost[S];
#pragma unroll
      for (int i = 0; i < S; ++i) lost[i] = nan_of<V>();
      const int left = left_of(t);
#pragma unroll 1
      for (int i = 0; i < left; ++i) stream(in_channels(mine, y_row) + (t + i) * p.y.time, nan_of<V>());
      write_last(t, lost, mine);
    };
    Source<C, X, Q, S, SHARED> source;
    A coming[VA ? S : 1];
    auto look_ahead = [&](int n) {
      if (n >= means.stop) return;
      source.read(p, w, x_row, n);
      if constexpr (VA) read_run(coming, a_row, p.a.time, w.run(n) * S, p.length);
    };
    look_ahead(means.first);
    if (means.first < means.stop) source.keep(board, means.first);
    __syncthreads();

    for (int n = means.first; n < means.stop; ++n) {
      const i64 t0 = w.run(n) * S;
      V v[S];
      {
        typename C::XV x[Q + S];
        source.take(x, board, w, n);
#pragma unroll
        for (int i = 0; i < S; ++i) {
          v[i] = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) mac(v[i], b(j, t0 + i), x[Q + i - j]);
        }
      }
      A gates[VA ? S : 1] = {};
      if constexpr (VA) {
#pragma unroll
        for (int i = 0; i < S; ++i) gates[i] = coming[i];
      }
      look_ahead(n + 1);
      auto finish = [&] {
        if (n + 1 < means.stop) source.keep(board, n + 1);
      };
      auto write = [&] { stream_run<S>(y_row, p.y.time, t0, left_of(t0), [&](int i) { return v[i]; }); };
      if constexpr (P > 0) {
        auto tap = [&](int i, int k) { return VA ? gates[i] : a[k]; };
        hand.take(v, tap, finish, [&](int mine) { forget(n - 1, mine); });
        if (phase == 1) {
          hand.skip();
          continue;
        }
        hand.run([&](V(&h)[P]) {
          run_samples<false, false>(v, h, tap, [&](int i, V y) { v[i] = y; });
          write();
          write_last(t0, v, 3);
        });
      } else {
        if (SHARED) {
          finish();
          __syncthreads();
        }
        write();
      }
    }
    if (phase != 1 && w.segment == 0 && w.active) {
      write_last_x<channel_t<X>>(p, w.b, w.c, w.warp, w.warps);
      if (w.has_next)
        write_last_x<channel_t<X>>(p, w.b + w.next_example, w.next_example ? 0 : w.c + 1, w.warp, w.warps);
    }
    if constexpr (P > 0) {
      hand.leave([&](int mine) { forget(means.stop - 1, mine); });
      if (phase == 1 && hand.is_last() && w.active) hand.tell(w.own<W>(p.ends, p, C::STATES));
    }
  }
}
