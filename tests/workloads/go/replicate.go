// Replicates a database as Litestream does: replicate DATABASE DIRECTORY SEGMENTS reads all of the
// database once and writes so many small segments of its log, 256 to a directory, one page each.
// Says "ready" then, and ends with its input.
package main

import (
	"bufio"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

const page = 4096

func checksum(name string) uint64 {
	database, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	defer database.Close()
	sum := crc64.New(crc64.MakeTable(crc64.ISO))
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, database, make([]byte, 1<<20)); err != nil {
		panic(err)
	}
	return sum.Sum64()
}

func writeSegment(directory string, number int, content []byte) {
	shard := filepath.Join(directory, fmt.Sprintf("%04x", number/256))
	if number%256 == 0 {
		os.Mkdir(shard, 0o755)
	}
	name := filepath.Join(shard, fmt.Sprintf("%08x.wal", number))
	if err := os.WriteFile(name, content, 0o644); err != nil {
		panic(err)
	}
}

func main() {
	segments, _ := strconv.Atoi(os.Args[3])
	content := make([]byte, page)
	checksum(os.Args[1])
	for number := range segments {
		writeSegment(os.Args[2], number, content)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
