// Command quoted serves quotes.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"example.com/quoted/internal/quotes"
)

var version = "dev"

func main() {
	address := ":8080"
	if port := os.Getenv("PORT"); port != "" {
		address = ":" + port
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		err := json.NewEncoder(w).Encode(map[string]any{"quote": quotes.First(), "version": version, "uid": os.Getuid()})
		if err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
