package edge

import (
	"container/list"
	"context"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
)

// The cache of documents that have been through the guard, parsing and validation.
// Long documents are left out, so that nobody fills the memory with them.
const (
	cachedDocuments     = 500
	cachedDocumentBytes = 8 << 10
)

// documentCache keeps the documents used last. It is safe for concurrent use, and the
// documents in it are read-only.
type documentCache struct {
	mu      sync.Mutex
	size    int
	longest int
	order   *list.List // of *cachedDocument, the last used in front
	byText  map[string]*list.Element
}

type cachedDocument struct {
	text string
	doc  *ast.QueryDocument
}

func newDocumentCache(size, longest int) *documentCache {
	return &documentCache{size: size, longest: longest, order: list.New(), byText: map[string]*list.Element{}}
}

// Get finds a document by its exact text.
func (c *documentCache) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byText[text]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedDocument).doc, true
}

// Add keeps a valid document.
func (c *documentCache) Add(_ context.Context, text string, doc *ast.QueryDocument) {
	if len(text) > c.longest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byText[text]; ok {
		return
	}
	c.byText[text] = c.order.PushFront(&cachedDocument{text, doc})
	if c.order.Len() > c.size {
		last := c.order.Remove(c.order.Back()).(*cachedDocument)
		delete(c.byText, last.text)
	}
}
