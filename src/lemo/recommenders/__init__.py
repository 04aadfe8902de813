"""The mathematics: pure arrays in, pure arrays out, no engine and no clock."""
