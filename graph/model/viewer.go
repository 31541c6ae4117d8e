package model

import "github.com/openhandover/openhandover/internal/access"

// Viewer is who is signed in.
type Viewer struct{ Actor *access.Actor }
