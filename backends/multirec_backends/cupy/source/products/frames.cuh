// The gradient of coefficients that come at a frame rate: what the samples of a segment give to the frames around them, and
// what all segments give to each frame.

// Where a segment's part of a frame's gradient is: a segment and a frame that meet have a place of their own on the way from
// the last frame and the first segment, since of the two one changes at a time. To the frame itself, and then to the next one.
__device__ inline i64 last_frame(const Problem& p) { return p.a.last > p.b.last ? p.a.last : p.b.last; }
template <class W> struct PartsOfFrames {
  W* first;
  i64 last, every;
  __device__ W* operator[](i64 frame) const { return first + (last - frame) * 2 * every; }
};
template <class W> __device__ inline PartsOfFrames<W> parts_of_frames(const Problem& p, i64 row, i64 segment, i64 tap) {
  const i64 last = last_frame(p), every = p.input_order + 1 + p.order;
  return {(W*)p.frames + (row * (p.segments + last + 1) + segment) * 2 * every + tap, last, every};
}

// one tap's sums of a frame, over samples that come backwards in time
template <class V> struct FrameSums {
  using W = wide_t<V>;
  using R = typename Number<V>::real;
  W own = W(), next = W();
  i64 frame = -1;
  __device__ void leave(const PartsOfFrames<W>& parts) {
    if (frame < 0) return;
    parts[frame][0] = own;
    parts[frame][parts.every] = next;
    own = next = W();
  }
  __device__ void take(const Taps& s, const V* signal, const V* lambda, int count, i64 latest, const PartsOfFrames<W>& parts) {
    if (count <= 0) return;
    Quotient place = divided(latest + s.offset, s.hop);
    const R part = to<R>(s.part);
    for (int u = 0; u < count;) {
      if (place.whole != frame) {
        leave(parts);
        frame = place.whole;
      }
      const R step = frame < s.last ? part : R();
      V to_own = V(), to_next = V();
      for (; u < count && place.rest >= 0; ++u, --place.rest) {
        V g = V();
        mac(g, conj(signal[u]), lambda[u]);
        const R way = R(place.rest) * step;
        mac(to_own, 1 - way, g);
        mac(to_next, way, g);
      }
      add(own, to<W>(to_own));
      add(next, to<W>(to_next));
      if (place.rest < 0) place = {place.whole - 1, s.hop - 1};
    }
  }
};

// where a gradient is written sample by sample, if it is
template <class T> __device__ inline T* written_to(const Taps& s, T* at) { return s.at ? at : nullptr; }
template <class S> __device__ inline S* written_to(const Taps&, Framed<S>*) { return nullptr; }

template <class X, class Y, class B, class A, int P> __device__ void products_frames(const Problem& p) {
  using W = wide_t<compute_t<Y>>;
  const i64 samples = p.tiles * TILE<A, P>, frames = last_frame(p) + 1, q = p.input_order, every = q + 1 + p.order;
  const i64 count = p.batch * p.channels * frames * every;
  for (i64 n = blockIdx.x * i64(blockDim.x) + threadIdx.x; n < count; n += i64(gridDim.x) * blockDim.x) {
    const i64 tap = n % every, frame = n / every % frames, row = n / every / frames, b = row / p.channels, c = row % p.channels;
    const bool of_b = tap <= q, alone = p.phase > 1 && ((const i64*)p.again)[row];
    const Taps &taps = of_b ? p.b : p.a, &to = of_b ? p.grad_b : p.grad_a;
    if (!to.at || frame > taps.last) continue;
    W sum = W();
    for (int ahead = 0; ahead < 2; ++ahead) {
      const i64 f = frame - ahead, first = f * taps.hop - taps.offset, end = first + taps.hop;
      const i64 low = first > 0 ? first : 0, high = least(end, p.length) - 1;
      if (f < 0 || low > high) continue;
      const i64 stop = alone ? 0 : (p.length - 1 - low) / samples;
      for (i64 s = alone ? 0 : (p.length - 1 - high) / samples; s <= stop; ++s)
        add(sum, parts_of_frames<W>(p, row, s, tap)[f][ahead * every]);
    }
    if (of_b) store(&at<B>(to, b, c)[frame * to.time + tap * to.tap].value, sum);
    else store(&at<A>(to, b, c)[frame * to.time + (tap - q - 1) * to.tap].value, sum);
  }
}
