//go:build ignore

// Generates package ent from ent/schema. Run through `go generate ./...`.
package main

import (
	"log"

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
}
