"""Stories over HTTP in seconds: everything is real but the model, the gate and the engine."""
