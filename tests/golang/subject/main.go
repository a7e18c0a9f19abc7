// subject: a Go program that holds memory, and says of itself what its runtime knows.
//
// One command a line on standard input: stats, gc, hold MIB, keep MIB, drop, percent N, limit BYTES,
// procs N, callers, profile. Each is answered by one line of JSON on standard output.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

var (
	fromC int
	held  [][]byte
)

//go:noinline
func holdMebibyte() []byte {
	block := make([]byte, 1<<20)
	for at := 0; at < len(block); at += 4096 {
		block[at] = 1
	}
	return block
}

//go:noinline
func keepMebibyte() []byte {
	block := make([]byte, 1<<20)
	for at := 0; at < len(block); at += 4096 {
		block[at] = 2
	}
	return block
}

// stats reads settings first: to read GOGC it has to be set.
func stats() {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	limit := debug.SetMemoryLimit(-1)
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	fmt.Printf(`{"percent": %d, "limit": %d, "procs": %d, "from_c": %d, "alloc": %d, "total": %d, `,
		percent, limit, runtime.GOMAXPROCS(0), fromC, now.HeapAlloc, now.TotalAlloc)
	fmt.Printf(`"in_use": %d, "idle": %d, "released": %d, "goal": %d, "cycles": %d, "rate": %d}`+"\n",
		now.HeapInuse, now.HeapIdle, now.HeapReleased, now.NextGC, now.NumGC, runtime.MemProfileRate)
}

//go:noinline
func callers() {
	pcs := make([]uintptr, 32)
	pcs = pcs[:runtime.Callers(1, pcs)]
	fmt.Print("[")
	for at, pc := range pcs {
		if at > 0 {
			fmt.Print(", ")
		}
		fmt.Printf("[%d, %q]", pc-1, runtime.FuncForPC(pc-1).Name())
	}
	fmt.Println("]")
}

// profile says what is in use by call stack, as it was sampled: objects, bytes, functions. It also
// keeps the samples in the program: the linker drops them where nobody reads them.
func profile() {
	records := make([]runtime.MemProfileRecord, 1000)
	count, _ := runtime.MemProfile(records, false)
	fmt.Print("[")
	for at := range records[:count] {
		if at > 0 {
			fmt.Print(", ")
		}
		record := &records[at]
		fmt.Printf("[%d, %d, [", record.InUseObjects(), record.InUseBytes())
		for depth, pc := range record.Stack() {
			if depth > 0 {
				fmt.Print(", ")
			}
			fmt.Printf("%q", runtime.FuncForPC(pc-1).Name())
		}
		fmt.Print("]]")
	}
	fmt.Println("]")
}

func do(command string, number int) {
	switch command {
	case "gc":
		runtime.GC()
	case "hold":
		for ; number > 0; number-- {
			held = append(held, holdMebibyte())
		}
	case "keep":
		for ; number > 0; number-- {
			held = append(held, keepMebibyte())
		}
	case "drop":
		held = nil
	case "percent":
		debug.SetGCPercent(number)
	case "limit":
		debug.SetMemoryLimit(int64(number))
	case "procs":
		runtime.GOMAXPROCS(number)
	case "stats":
		stats()
		return
	case "callers":
		callers()
		return
	case "profile":
		profile()
		return
	}
	fmt.Println(len(held))
}

func main() {
	for {
		var command string
		var number int
		if _, err := fmt.Scanln(&command, &number); command == "" {
			fmt.Fprintln(os.Stderr, "subject:", err)
			return
		}
		do(command, number)
	}
}
