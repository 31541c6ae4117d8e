package checkpoint

import "golang.org/x/mod/sumdb/tlog"

// Frontier is the right edge of a growing tree: enough to add leaves and to know the
// root, in memory that grows with the logarithm of the tree.
type Frontier struct {
	// Size is how many leaves the tree has.
	Size  int64
	edges []edge // complete subtrees, the largest first
}

type edge struct {
	level int
	hash  tlog.Hash
}

// Add adds a leaf's hash. It gives the hashes of the subtrees that are complete now,
// the leaf's first: the order in which tlog stores them.
func (f *Frontier) Add(leaf [32]byte) []tlog.Hash {
	f.Size++
	next := edge{0, leaf}
	stored := []tlog.Hash{leaf}
	for n := len(f.edges); n > 0 && f.edges[n-1].level == next.level; n-- {
		next = edge{next.level + 1, tlog.NodeHash(f.edges[n-1].hash, next.hash)}
		stored = append(stored, next.hash)
		f.edges = f.edges[:n-1]
	}
	f.edges = append(f.edges, next)
	return stored
}

// Root is the root of the tree; that of an empty one is the hash of nothing (RFC 6962 §2.1).
func (f *Frontier) Root() [32]byte {
	if len(f.edges) == 0 {
		h, _ := tlog.TreeHash(0, nil)
		return h
	}
	root := f.edges[len(f.edges)-1].hash
	for i := len(f.edges) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.edges[i].hash, root)
	}
	return root
}

// Resume is the frontier of a tree of this size whose stored hashes are read: one for
// each bit of size that is set.
func Resume(size int64, read tlog.HashReader) (*Frontier, error) {
	f := &Frontier{Size: size}
	var at []int64
	done := int64(0)
	for level := 62; level >= 0; level-- {
		if width := int64(1) << level; size&width != 0 {
			at = append(at, tlog.StoredHashIndex(level, done>>level))
			f.edges = append(f.edges, edge{level: level})
			done += width
		}
	}
	if len(at) == 0 {
		return f, nil
	}
	hashes, err := read.ReadHashes(at)
	if err != nil {
		return nil, err
	}
	for i := range f.edges {
		f.edges[i].hash = hashes[i]
	}
	return f, nil
}
