package store

import "os"

// SyncFolder makes the names of new files in a folder survive a power cut, as syncing
// the files themselves does for their content. A file system that cannot sync a folder
// is left alone: it keeps the names a little later.
func SyncFolder(path string) {
	if d, err := os.Open(path); err == nil { // #nosec G304 -- the operator's folders
		_ = d.Sync()
		_ = d.Close()
	}
}
