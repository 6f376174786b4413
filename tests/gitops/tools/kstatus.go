package main

import (
	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// byKstatus asks the library of SIG CLI and the copy of it that Flux and Helm are built with.
func byKstatus(object *unstructured.Unstructured) (any, error) {
	original, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	copied, err := flux.Compute(object)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"kstatus": original.Status.String(),
		"flux":    copied.Status.String(),
		"message": original.Message,
	}, nil
}
