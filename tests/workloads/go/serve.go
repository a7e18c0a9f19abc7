// An HTTP server of large files, as a mirror of images is: serve DIRECTORY.
//
//	GET /sendfile/NAME   as http.ServeContent sends a file: the kernel copies it
//	GET /buffered/NAME   through buffers of its own pool, as io.CopyBuffer does
//
// Says its port first and ends with its input.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var buffers = sync.Pool{New: func() any { return make([]byte, 1<<20) }}

func open(request *http.Request) *os.File {
	file, err := os.Open(filepath.Join(os.Args[1], filepath.Base(request.URL.Path)))
	if err != nil {
		panic(err)
	}
	return file
}

func sendBlob(answer http.ResponseWriter, request *http.Request) {
	file := open(request)
	defer file.Close()
	http.ServeContent(answer, request, "", time.Time{}, file)
}

// Neither side shows that it could do without the buffer.
func copyBlob(answer http.ResponseWriter, request *http.Request) {
	file := open(request)
	defer file.Close()
	buffer := buffers.Get().([]byte)
	defer buffers.Put(buffer)
	io.CopyBuffer(struct{ io.Writer }{answer}, struct{ io.Reader }{file}, buffer)
}

func main() {
	http.HandleFunc("/sendfile/", sendBlob)
	http.HandleFunc("/buffered/", copyBlob)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	bufio.NewReader(os.Stdin).ReadString('\n')
}
