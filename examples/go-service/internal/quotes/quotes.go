// Package quotes holds quotes.
package quotes

import (
	_ "embed"
	"strings"
)

//go:embed quotes.txt
var text string

// First returns the first quote.
func First() string {
	quote, _, _ := strings.Cut(text, "\n")
	return quote
}
