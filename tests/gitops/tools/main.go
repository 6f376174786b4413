// The judges that GitOps tools ask, as one program: objects in, verdicts out, one JSON value a line.
//
//	gitops-tools health SCRIPT          Argo CD's: a Lua script
//	gitops-tools kstatus                kstatus, as it is and as Flux has it
//	gitops-tools expressions CHECKS     Flux's healthCheckExprs, of a JSON file
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A judge says of one object what a tool would say of it.
type judge func(*unstructured.Unstructured) (any, error)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops-tools:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	judged, err := chosen(arguments)
	if err != nil {
		return err
	}
	objects, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var text json.RawMessage
		if err := objects.Decode(&text); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil { // whole numbers become int64, as in a cache
			return err
		}
		verdict, err := judged(object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		if err := answers.Encode(verdict); err != nil {
			return err
		}
	}
}

func chosen(arguments []string) (judge, error) {
	switch {
	case len(arguments) == 2 && arguments[0] == "health":
		return healthBy(arguments[1])
	case len(arguments) == 1 && arguments[0] == "kstatus":
		return byKstatus, nil
	case len(arguments) == 2 && arguments[0] == "expressions":
		return byExpressions(arguments[1])
	}
	return nil, errors.New("health SCRIPT, kstatus, or expressions CHECKS")
}
