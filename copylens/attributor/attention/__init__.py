"""The attention channel: the LSTM over fused attention states (Inner-Probe, stage 1)."""
