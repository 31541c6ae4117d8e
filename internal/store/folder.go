package store

import "os"

// SyncFolder makes the names of new files in a folder survive a power cut, as syncing
// the files themselves does for their content. A file system that cannot is left to
// itself: there the names last soon.
func SyncFolder(path string) {
	if d, err := os.Open(path); err == nil { // #nosec G304 -- the operator's folders
		_ = d.Sync()
		_ = d.Close()
	}
}
