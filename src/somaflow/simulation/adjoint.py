def differentiable(compiled, run, y, parameters):
    return run(y, parameters, False)
