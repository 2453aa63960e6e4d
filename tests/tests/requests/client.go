// Requests of net/http over one connection that is kept alive; HTTP/1 where the argument says so, else HTTP/2 and some at once.
package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	transport := &http.Transport{}
	if os.Args[1] == "h1" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	transport.ForceAttemptHTTP2 = os.Args[1] != "h1"
	secret := os.Getenv("CANARY")
	client := &http.Client{Transport: transport}
	post := func(path string) {
		body := strings.NewReader(secret + strings.Repeat("{}", 3000))
		request, err := http.NewRequest("POST", "https://api.openai.com"+path, body)
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		request.Header.Set("Authorization", "Bearer "+secret)
		answer, err := client.Do(request)
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	paths := []string{"/v1/embeddings", "/v1/responses?key=" + secret, "/v1/files", "/v1/embeddings", "/v1/threads/t_1/runs", "/v1/nowhere"}
	for _, path := range paths {
		post(path)
	}
	if os.Args[1] == "h1" {
		return
	}
	var all sync.WaitGroup
	for _, path := range append(paths, paths...) {
		all.Add(1)
		go func(path string) {
			defer all.Done()
			post(path)
		}(path)
	}
	all.Wait()
}
