"""The simulated phones of the console gateway (模拟手机)."""
