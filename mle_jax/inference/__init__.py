"""How sure we are: functions of (model, data, solution)."""
