// Requests of net/http over one connection that is kept alive; HTTP/1 where the argument says so.
package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	transport := &http.Transport{}
	if os.Args[1] == "h1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport}
	for _, path := range []string{"/v1/embeddings", "/v1/responses?x=y", "/v1/files", "/v1/embeddings", "/v1/threads/t_1/runs", "/v1/nowhere"} {
		answer, err := client.Post("https://api.openai.com"+path, "application/json", strings.NewReader(strings.Repeat("{}", 3000)))
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}
