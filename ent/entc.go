//go:build ignore

// Generates package ent from ent/schema. Run through `go generate ./...`.
package main

import (
	"log"
	"os"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

func main() {
	err := entc.Generate("./ent/schema", &gen.Config{
		Target:   "./ent",
		Package:  "github.com/openhandover/openhandover/ent",
		Features: []gen.Feature{gen.FeatureIntercept, gen.FeatureSnapshot, gen.FeatureLock, gen.FeatureVersionedMigration},
	}, entc.TemplateDir("./ent/template"))
	if err != nil {
		log.Fatal("generate ent: ", err)
	}
	// It makes tables through the client's Schema, which ent/template/client.tmpl leaves out.
	if err := os.RemoveAll("ent/enttest"); err != nil {
		log.Fatal("generate ent: ", err)
	}
}
