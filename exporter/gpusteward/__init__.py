"""GPU Steward: what each GPU costs, who holds it, and whether that money does anything."""

__version__ = "0.1.0"
