// Package openhandover only holds the generators' command lines.
package openhandover

//go:generate go run ./ent/entc.go
//go:generate go tool gqlgen generate
