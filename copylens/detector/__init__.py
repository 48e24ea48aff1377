"""Does a text draw on anything registered? Projector, typicality, conformal calibration."""
