"""The captioned dataset: sharded Parquet that `datasets` reads, an imagefolder, a card, attributions."""
