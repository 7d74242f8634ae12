"""What assessment knows of the register: divisions and the status of households (行政区划、户)."""
