package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"commy"
)

// refused is thrown for a call that cannot be written in this language, or that names what nobody made.
type refused struct {
	code    commy.Code
	message string
}

func refuse(code commy.Code, format string, values ...any) {
	panic(refused{code, fmt.Sprintf(format, values...)})
}

// arguments are those of a call by name. What is absent or null is the zero value, as it is to who writes Go.
type arguments struct {
	values map[string]any
}

func (a arguments) has(name string) bool {
	return a.values[name] != nil
}

func (a arguments) text(name string) string {
	text, _ := a.values[name].(string)
	return text
}

func (a arguments) boolean(name string) bool {
	value, _ := a.values[name].(bool)
	return value
}

func (a arguments) texts(name string) []string {
	list, _ := a.values[name].([]any)
	texts := make([]string, len(list))
	for i, text := range list {
		texts[i], _ = text.(string)
	}
	return texts
}

// whole is a number as it was sent: plain, or as a decimal string.
func (a arguments) whole(name string) *big.Int {
	var text string
	switch value := a.values[name].(type) {
	case nil:
		return new(big.Int)
	case json.Number:
		text = value.String()
	case string:
		text = value
	}
	number, ok := new(big.Int).SetString(text, 10)
	if !ok {
		refuse(commy.ErrInvalid, "%s %q is not a whole number", name, text)
	}
	return number
}

func (a arguments) integer(name string) int {
	number := a.whole(name)
	if !number.IsInt64() {
		refuse(commy.ErrInvalid, "%s %v is no int", name, number)
	}
	return int(number.Int64())
}

func (a arguments) integer32(name string) int32 {
	number := a.integer(name)
	if number < math.MinInt32 || number > math.MaxInt32 {
		refuse(commy.ErrInvalid, "%s %d is no int32", name, number)
	}
	return int32(number)
}

func (a arguments) unsigned(name string) uint64 {
	number := a.whole(name)
	if !number.IsUint64() {
		refuse(commy.ErrInvalid, "%s %v is no uint64", name, number)
	}
	return number.Uint64()
}

// duration of so many units. One that is longer than the longest there is (292 years) becomes that where it is a latency,
// since it is what a program would measure.
func (a arguments) duration(name string, unit time.Duration) time.Duration {
	number := new(big.Int).Mul(a.whole(name), big.NewInt(int64(unit)))
	if number.IsInt64() {
		return time.Duration(number.Int64())
	}
	if unit != time.Nanosecond || number.Sign() < 0 {
		refuse(commy.ErrInvalid, "%s %v is no time.Duration", name, number)
	}
	return math.MaxInt64
}

func (a arguments) float(name string) float64 {
	number, _ := a.values[name].(json.Number)
	value, err := strconv.ParseFloat(number.String(), 64)
	if err != nil {
		refuse(commy.ErrInvalid, "%s is no number", name)
	}
	return value
}

// flags gives the bits of `flags`, of which so many can be expressed.
func (a arguments) flags(bits int) []bool {
	flags := a.integer("flags")
	if flags < 0 || flags >= 1<<bits {
		refuse(commy.ErrInvalid, "flags %d cannot be expressed", flags)
	}
	set := make([]bool, bits)
	for bit := range set {
		set[bit] = flags&(1<<bit) != 0
	}
	return set
}

func decimal(number uint64) string {
	return strconv.FormatUint(number, 10)
}

func ms(duration time.Duration) float64 {
	return float64(duration) / float64(time.Millisecond)
}
