module memtrace.demo/service

go 1.19
