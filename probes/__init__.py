"""What observes inside the kernel: eBPF programs and their reader (C), and the service around them (README.md)."""
