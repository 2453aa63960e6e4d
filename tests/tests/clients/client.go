// A TLS client of Go's own crypto/tls: ADDRESS NAME VERSION.
package main

import (
	"crypto/tls"
	"fmt"
	"os"
)

func main() {
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[3]]
	config := &tls.Config{ServerName: os.Args[2], InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
	client, err := tls.Dial("tcp", os.Args[1], config)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Fprintf(client, "GET / HTTP/1.0\r\n\r\n")
	answer := make([]byte, 100)
	if n, _ := client.Read(answer); n == 0 {
		os.Exit(1)
	}
	client.Close()
}
