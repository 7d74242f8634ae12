"""The image and docker-compose.yml in a real container engine, tried by hand: `make image-try` (docs/supply-chain.md)."""
