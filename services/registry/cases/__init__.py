"""Cases (个案): the generic procedure with steps, actors, publicity and decision; identification (识别) and exit (退出) run on it."""
