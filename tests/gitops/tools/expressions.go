package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// checks of one kind (Flux's CustomHealthCheck).
type checks struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

type step struct {
	verdict string
	program cel.Program
}

// byExpressions judges as Flux does (its RFC 0009): another generation than the observed one is in
// progress; then the first expression that holds, in this order; then in progress.
func byExpressions(path string) (judge, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []checks
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	steps := map[string][]step{}
	for _, one := range all {
		made, err := compiled(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", one.Kind, err)
		}
		steps[one.APIVersion+"/"+one.Kind] = made
	}
	return func(object *unstructured.Unstructured) (any, error) {
		mine, ok := steps[object.GetAPIVersion()+"/"+object.GetKind()]
		if !ok {
			return nil, fmt.Errorf("no expressions for it")
		}
		return evaluated(mine, object)
	}, nil
}

func compiled(one checks) ([]step, error) {
	// The options of fluxcd/pkg, runtime/cel/expression.go: parsed, not type-checked.
	env, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		ext.Encoders(),
	)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, each := range []struct{ verdict, text string }{
		{"InProgress", one.InProgress}, {"Failed", one.Failed}, {"Current", one.Current},
	} {
		if each.text == "" {
			continue
		}
		parsed, issues := env.Parse(each.text)
		if issues.Err() != nil {
			return nil, issues.Err()
		}
		program, err := env.Program(parsed, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{each.verdict, program})
	}
	return steps, nil
}

func evaluated(steps []step, object *unstructured.Unstructured) (any, error) {
	observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if err == nil && found && observed != object.GetGeneration() {
		return map[string]string{"status": "InProgress"}, nil
	}
	for _, each := range steps {
		value, _, err := each.program.Eval(object.Object)
		if err != nil {
			return nil, err
		}
		holds, ok := value.Value().(bool)
		if !ok {
			return nil, fmt.Errorf("%s is no truth value", each.verdict)
		}
		if holds {
			return map[string]string{"status": each.verdict}, nil
		}
	}
	return map[string]string{"status": "InProgress"}, nil
}
