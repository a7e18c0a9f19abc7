"""What the kernel tests stand on: cgroups of their own, known workloads and a running memtrace."""
