"""What is measured about this project; `make bench` measures it and writes docs/benchmarks.md."""
