"""The benchmark: the speed that issue 3 asks for, measured with the lab's own story and real pods (docs/bench.md)."""
