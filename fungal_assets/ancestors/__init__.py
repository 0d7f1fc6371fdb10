"""The roads that the artist began on: forms evolved by pattern producing networks (CPPN), and the DCGAN."""
