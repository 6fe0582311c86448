// One step of each kind of recurrence with an activation inside, and its adjoint.
//
// A state's first number is the newest. A cell has OWN signals of y's type and OTHERS of another, of which the first DRIVING
// are what its state needs; and TAPS numbers that do not change, of which each parameter has EACH.

enum Activation { IDENTITY, RELU, TANH, SIGMOID };

__device__ inline float exponential(float v) { return expf(v); }
__device__ inline double exponential(double v) { return exp(v); }
__device__ inline float tangent(float v) { return tanhf(v); }
__device__ inline double tangent(double v) { return tanh(v); }
template <class V> __device__ inline V sigmoid(V v) { return V(1) / (V(1) + exponential(-v)); }

template <int ACTIVATION, class V> __device__ inline V activate(V v) {
  if constexpr (ACTIVATION == RELU) return v < 0 ? V() : v;
  else if constexpr (ACTIVATION == TANH) return tangent(v);
  else if constexpr (ACTIVATION == SIGMOID) return sigmoid(v);
  else return v;
}
// the gradient of a number whose activation has a value and a gradient
template <int ACTIVATION, class V> __device__ inline V through(V value, V gradient) {
  // a value that is NaN lets it through, as it does in torch
  if constexpr (ACTIVATION == RELU) return value <= 0 ? V() : gradient;
  else if constexpr (ACTIVATION == TANH) return gradient * (1 - value * value);
  else if constexpr (ACTIVATION == SIGMOID) return gradient * (value * (1 - value));
  else return gradient;
}

// h = activation(x + sum of w[k] * state[k])
template <int ACTIVATION, int P> struct Independent {
  static constexpr int OWN = 1, OTHERS = 0, DRIVING = 1, ORDER = P, TAPS = P, EACH = P;
  template <class V> __device__ static V step(const V* s, const V* w, V* state, V) {
    V h = s[0];
    // the newest output comes last: only it is waited for
#pragma unroll
    for (int k = P - 1; k >= 0; --k) mac(h, w[k], state[k]);
    h = activate<ACTIVATION>(h);
#pragma unroll
    for (int k = P - 1; k > 0; --k) state[k] = state[k - 1];
    return state[0] = h;
  }
  template <class V>
  __device__ static void adjoint(const V*, const V* w, const V* before, V after, V grad, V* lambda, V* to_s, V* to_w, V) {
    const V g = through<ACTIVATION>(after, grad + lambda[0]);
    to_s[0] = g;
#pragma unroll
    for (int k = 0; k < P; ++k) {
      to_w[k] = g * before[k];
      lambda[k] = k + 1 < P ? lambda[k + 1] : V();
      mac(lambda[k], w[k], g);
    }
  }
};

// gates f and r that read c, the state; of u its three parts, and perhaps a highway
template <int ACTIVATION, int HIGHWAY> struct Sru {
  static constexpr int OWN = 3, OTHERS = HIGHWAY, DRIVING = 2, ORDER = 1, TAPS = 4, EACH = 2;
  template <class V> struct Gates {
    V f, r, after, h;
    __device__ Gates(const V* s, const V* w, V c) {
      f = s[1] + w[2], r = s[2] + w[3];
      mac(f, w[0], c);
      mac(r, w[1], c);
      f = sigmoid(f), r = sigmoid(r);
      after = s[0];
      mac(after, f, c - s[0]);
      h = activate<ACTIVATION>(after);
    }
  };
  template <class V> __device__ static V step(const V* s, const V* w, V* state, V scale) {
    const Gates<V> gates(s, w, state[0]);
    state[0] = gates.after;
    V y = HIGHWAY ? s[3] * scale : V();
    mac(y, gates.r, gates.h - y);
    return y;
  }
  template <class V>
  __device__ static void adjoint(const V* s, const V* w, const V* before, V, V grad, V* lambda, V* to_s, V* to_w, V scale) {
    const V c = before[0];
    const Gates<V> gates(s, w, c);
    const V f = gates.f, r = gates.r, to_h = grad * r;
    const V to_r = grad * (HIGHWAY ? gates.h - s[3] * scale : gates.h) * (r * (1 - r));
    const V to_after = lambda[0] + through<ACTIVATION>(gates.h, to_h);
    const V to_f = to_after * (c - s[0]) * (f * (1 - f)), kept = to_after * f;
    lambda[0] = kept;
    mac(lambda[0], to_r, w[1]);
    mac(lambda[0], to_f, w[0]);
    to_s[0] = to_after - kept, to_s[1] = to_f, to_s[2] = to_r;
    if (HIGHWAY) to_s[3] = (grad - to_h) * scale;
    to_w[0] = to_f * c, to_w[1] = to_r * c, to_w[2] = to_f, to_w[3] = to_r;
  }
};

// y moves towards x by attack or release, which are signals or parameters
template <int VARYING> struct Envelope {
  static constexpr int OWN = 1, OTHERS = VARYING ? 2 : 0, DRIVING = 1 + OTHERS, ORDER = 1, TAPS = VARYING ? 0 : 2, EACH = 1;
  template <class V> __device__ static V step(const V* s, const V* w, V* state, V) {
    const V* const gains = VARYING ? s + 1 : w;
    mac(state[0], s[0] > state[0] ? gains[0] : gains[1], s[0] - state[0]);
    return state[0];
  }
  template <class V>
  __device__ static void adjoint(const V* s, const V* w, const V* before, V, V grad, V* lambda, V* to_s, V* to_w, V) {
    const V* const gains = VARYING ? s + 1 : w;
    V* const to_gains = VARYING ? to_s + 1 : to_w;
    const bool rises = s[0] > before[0];
    const V total = grad + lambda[0], to_gain = total * (s[0] - before[0]);
    to_s[0] = total * (rises ? gains[0] : gains[1]);
    to_gains[0] = rises ? to_gain : V(), to_gains[1] = rises ? V() : to_gain;
    lambda[0] = total - to_s[0];
  }
};
