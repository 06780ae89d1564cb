// Command judge asks the upstream Terraform provider about resources as Pulumi registers them: each is validated, planned,
// and planned again over what the first plan would have made. It reads a JSON list of {type, name, inputs} on standard
// input, where type is Terraform's and inputs have Pulumi's names, and writes a JSON list of findings. It makes no request.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"unicode"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-provider-aws/internal/provider"
)

// What Pulumi sends for a value that is not known yet.
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

type resource struct {
	Type   string         `json:"type"`
	Name   string         `json:"name"`
	Inputs map[string]any `json:"inputs"`
	// What the second plan is made of, where that differs.
	Then map[string]any `json:"then"`
	// Attributes by Terraform's name, as AWS would answer them.
	Drawn map[string]any `json:"drawn"`
}

type finding struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Kind string `json:"kind"`
	Said string `json:"said"`
}

func main() {
	ctx := context.Background()
	var asked []resource
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	factory, _, err := provider.ProtoV5ProviderServerFactory(ctx)
	check(err)
	server := factory()
	schemas, err := server.GetProviderSchema(ctx, &tfprotov5.GetProviderSchemaRequest{})
	check(err)
	configure(ctx, server, schemas.Provider)
	findings := []finding{}
	for _, each := range asked {
		say := func(kind, said string) {
			findings = append(findings, finding{each.Name, each.Type, kind, said})
		}
		schema, known := schemas.ResourceSchemas[each.Type]
		if !known {
			say("error", "the provider has no such resource")
			continue
		}
		judge(ctx, server, schema, each, say)
	}
	check(json.NewEncoder(os.Stdout).Encode(findings))
}

func configure(ctx context.Context, server tfprotov5.ProviderServer, schema *tfprotov5.Schema) {
	config := built(schema.Block, map[string]any{
		"region": "eu-west-1", "accessKey": "none", "secretKey": "none",
		"skipCredentialsValidation": true, "skipRequestingAccountId": true, "skipMetadataApiCheck": "true",
	}, "provider", func(_, said string) { log.Fatal(said) })
	done, err := server.ConfigureProvider(ctx, &tfprotov5.ConfigureProviderRequest{Config: packed(schema, config)})
	check(err)
	for _, each := range done.Diagnostics {
		if each.Severity == tfprotov5.DiagnosticSeverityError {
			log.Fatal(each.Summary, each.Detail)
		}
	}
}

func judge(ctx context.Context, server tfprotov5.ProviderServer, schema *tfprotov5.Schema, each resource, say func(kind, said string)) {
	config := built(schema.Block, each.Inputs, each.Name, say)
	valid, err := server.ValidateResourceTypeConfig(ctx, &tfprotov5.ValidateResourceTypeConfigRequest{
		TypeName: each.Type, Config: packed(schema, config),
	})
	check(err)
	if failed(valid.Diagnostics, say) {
		return
	}
	none := tftypes.NewValue(schema.ValueType(), nil)
	first, err := server.PlanResourceChange(ctx, &tfprotov5.PlanResourceChangeRequest{
		TypeName: each.Type, Config: packed(schema, config), PriorState: packed(schema, none),
		ProposedNewState: packed(schema, config),
	})
	check(err)
	if failed(first.Diagnostics, say) {
		return
	}
	planned, err := first.PlannedState.Unmarshal(schema.ValueType())
	check(err)
	made, err := tftypes.Transform(planned, func(path *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
		if name, whole := path.Steps(), len(path.Steps()) == 1; whole && !value.IsKnown() {
			if drawn, given := each.Drawn[string(name[0].(tftypes.AttributeName))]; given {
				return tftypes.NewValue(value.Type(), drawn), nil
			}
		}
		return filled(path, value)
	})
	check(err)
	if each.Then != nil {
		config = built(schema.Block, each.Then, each.Name, say)
	}
	second, err := server.PlanResourceChange(ctx, &tfprotov5.PlanResourceChangeRequest{
		TypeName: each.Type, Config: packed(schema, config), PriorState: packed(schema, made),
		ProposedNewState: packed(schema, proposed(schema.Block, made, config)), PriorPrivate: first.PlannedPrivate,
	})
	check(err)
	if failed(second.Diagnostics, say) {
		return
	}
	for _, path := range second.RequiresReplace {
		say("replacement", path.String())
	}
}

// built returns a configuration of the block's type from inputs under Pulumi's names; it tells those that nothing takes.
func built(block *tfprotov5.SchemaBlock, inputs map[string]any, path string, say func(kind, said string)) tftypes.Value {
	values, used := map[string]tftypes.Value{}, map[string]bool{}
	for _, each := range block.Attributes {
		values[each.Name] = tftypes.NewValue(each.Type, nil)
		if key, given := find(inputs, each.Name); given {
			used[key] = true
			values[each.Name] = converted(each.Type, inputs[key], path+"."+key, say)
		}
	}
	for _, each := range block.BlockTypes {
		var elements []tftypes.Value
		if key, given := find(inputs, each.TypeName); given {
			used[key] = true
			for _, element := range listed(inputs[key]) {
				if fields, ok := element.(map[string]any); ok {
					elements = append(elements, built(each.Block, fields, path+"."+key, say))
				} else {
					say("error", path+"."+key+" is no block")
				}
			}
		}
		kind := each.ValueType()
		switch kind.(type) {
		case tftypes.List, tftypes.Set:
			values[each.TypeName] = tftypes.NewValue(kind, append([]tftypes.Value{}, elements...))
		default:
			values[each.TypeName] = tftypes.NewValue(kind, nil)
			if len(elements) == 1 {
				values[each.TypeName] = elements[0]
			}
		}
	}
	for _, key := range sorted(inputs) {
		if !used[key] && !strings.HasPrefix(key, "__") {
			say("unused", path+"."+key)
		}
	}
	return tftypes.NewValue(block.ValueType(), values)
}

func converted(kind tftypes.Type, given any, path string, say func(kind, said string)) tftypes.Value {
	if given == nil {
		return tftypes.NewValue(kind, nil)
	}
	if given == unknown {
		return tftypes.NewValue(kind, tftypes.UnknownValue)
	}
	switch kind := kind.(type) {
	case tftypes.List:
		return tftypes.NewValue(kind, each(kind.ElementType, given, path, say))
	case tftypes.Set:
		return tftypes.NewValue(kind, each(kind.ElementType, given, path, say))
	case tftypes.Map:
		if fields, ok := given.(map[string]any); ok {
			values := map[string]tftypes.Value{}
			for key, value := range fields {
				values[key] = converted(kind.ElementType, value, path+"."+key, say)
			}
			return tftypes.NewValue(kind, values)
		}
	case tftypes.Object:
		if fields, ok := given.(map[string]any); ok {
			values := map[string]tftypes.Value{}
			for name, element := range kind.AttributeTypes {
				key, _ := find(fields, name)
				values[name] = converted(element, fields[key], path+"."+key, say)
			}
			return tftypes.NewValue(kind, values)
		}
	}
	switch given := given.(type) {
	case float64:
		if kind.Is(tftypes.String) {
			return tftypes.NewValue(kind, strings.TrimSuffix(fmt.Sprintf("%f", given), ".000000"))
		}
		if kind.Is(tftypes.Number) {
			return tftypes.NewValue(kind, given)
		}
	case bool:
		if kind.Is(tftypes.String) {
			return tftypes.NewValue(kind, fmt.Sprint(given))
		}
		if kind.Is(tftypes.Bool) {
			return tftypes.NewValue(kind, given)
		}
	case string:
		if kind.Is(tftypes.String) {
			return tftypes.NewValue(kind, given)
		}
		var parsed any
		if json.Unmarshal([]byte(given), &parsed) == nil && parsed != given {
			return converted(kind, parsed, path, say)
		}
	}
	say("error", fmt.Sprintf("%s is %T, and the provider takes %s", path, given, kind))
	return tftypes.NewValue(kind, nil)
}

func each(kind tftypes.Type, given any, path string, say func(kind, said string)) []tftypes.Value {
	values := []tftypes.Value{}
	for _, element := range listed(given) {
		values = append(values, converted(kind, element, path, say))
	}
	return values
}

// Pulumi shows what can have one element at most without its list.
func listed(given any) []any {
	if elements, ok := given.([]any); ok {
		return elements
	}
	return []any{given}
}

// find returns the key under which inputs hold a field of Terraform's: in camel case, and in the plural where it is a list.
func find(inputs map[string]any, name string) (string, bool) {
	words := strings.Split(name, "_")
	for at, word := range words[1:] {
		if word != "" {
			words[at+1] = string(unicode.ToUpper(rune(word[0]))) + word[1:]
		}
	}
	camel := strings.Join(words, "")
	for _, key := range []string{camel, camel + "s", strings.TrimSuffix(camel, "y") + "ies", camel + "es", strings.TrimSuffix(camel, "s")} {
		if _, given := inputs[key]; given {
			return key, true
		}
	}
	return "", false
}

// proposed is what Terraform's core proposes: the configuration, and the state's value for what is computed and not set.
func proposed(block *tfprotov5.SchemaBlock, state, config tftypes.Value) tftypes.Value {
	if state.IsNull() || config.IsNull() || !state.IsKnown() || !config.IsKnown() {
		return config
	}
	var old, wanted map[string]tftypes.Value
	check(state.As(&old))
	check(config.As(&wanted))
	for _, each := range block.Attributes {
		if each.Computed && wanted[each.Name].IsNull() {
			wanted[each.Name] = old[each.Name]
		}
	}
	for _, each := range block.BlockTypes {
		was, will := elements(old[each.TypeName]), elements(wanted[each.TypeName])
		if len(was) != len(will) {
			if len(will) == 0 && each.Nesting == tfprotov5.SchemaNestedBlockNestingModeList {
				// Computed blocks: what the provider has made of them stays.
				wanted[each.TypeName] = old[each.TypeName]
			}
			continue
		}
		merged := []tftypes.Value{}
		for at := range will {
			merged = append(merged, proposed(each.Block, was[at], will[at]))
		}
		if kind := each.ValueType(); len(merged) > 0 && (kind.Is(tftypes.List{}) || kind.Is(tftypes.Set{})) {
			wanted[each.TypeName] = tftypes.NewValue(kind, merged)
		}
	}
	return tftypes.NewValue(block.ValueType(), wanted)
}

func elements(value tftypes.Value) []tftypes.Value {
	var found []tftypes.Value
	if value.IsKnown() && !value.IsNull() && (value.Type().Is(tftypes.List{}) || value.Type().Is(tftypes.Set{})) {
		check(value.As(&found))
	}
	return found
}

// filled puts a value in the place of one that AWS would draw.
func filled(path *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
	if value.IsKnown() {
		return value, nil
	}
	kind := value.Type()
	switch {
	case kind.Is(tftypes.String) && strings.Contains(path.String(), "arn"):
		return tftypes.NewValue(kind, "arn:aws:service:eu-west-1:123456789012:drawn/by-aws"), nil
	case kind.Is(tftypes.String):
		return tftypes.NewValue(kind, "drawn-by-aws"), nil
	case kind.Is(tftypes.Number):
		return tftypes.NewValue(kind, 1), nil
	case kind.Is(tftypes.Bool):
		return tftypes.NewValue(kind, false), nil
	case kind.Is(tftypes.List{}), kind.Is(tftypes.Set{}):
		return tftypes.NewValue(kind, []tftypes.Value{}), nil
	case kind.Is(tftypes.Map{}):
		return tftypes.NewValue(kind, map[string]tftypes.Value{}), nil
	}
	return tftypes.NewValue(kind, nil), nil
}

func failed(diagnostics []*tfprotov5.Diagnostic, say func(kind, said string)) bool {
	found := false
	for _, each := range diagnostics {
		if each.Severity == tfprotov5.DiagnosticSeverityError {
			found = true
			say("error", strings.TrimSpace(each.Attribute.String()+" "+each.Summary+" "+each.Detail))
		}
	}
	return found
}

func packed(schema *tfprotov5.Schema, value tftypes.Value) *tfprotov5.DynamicValue {
	made, err := tfprotov5.NewDynamicValue(schema.ValueType(), value)
	check(err)
	return &made
}

func sorted(inputs map[string]any) []string {
	keys := []string{}
	for key := range inputs {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
