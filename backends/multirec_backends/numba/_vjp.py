def emit_vjp(*a): raise NotImplementedError
