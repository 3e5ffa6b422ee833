package quotes

import "testing"

func TestFirst(t *testing.T) {
	if First() == "" {
		t.Fatal("there is no quote")
	}
}
