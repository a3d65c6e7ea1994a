/*
 * commy/json.hpp - whether a text is JSON, which metadata is and the library does not look at. For values.hpp alone.
 */
#ifndef COMMY_JSON_HPP
#define COMMY_JSON_HPP

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace commy
{

namespace detail
{

/* Whether a text is one JSON value (RFC 8259). One pass, with the open brackets on a stack. */
class json_reader
{
  public:
    explicit json_reader(std::string_view text) : at_(text.data()), end_(text.data() + text.size())
    {
    }

    bool accepts()
    {
        std::string open; /* brackets that wait for their end */
        for (;;) {
            skip_spaces();
            if (take('[')) {
                skip_spaces();
                if (!take(']')) {
                    open.push_back('[');
                    continue;
                }
            } else if (take('{')) {
                skip_spaces();
                if (!take('}')) {
                    open.push_back('{');
                    if (!key())
                        return false;
                    continue;
                }
            } else if (!scalar()) {
                return false;
            }
            /* Behind a value: the end of what it is in, or the next one. */
            for (;;) {
                skip_spaces();
                if (open.empty())
                    return at_ == end_;
                if (take(open.back() == '[' ? ']' : '}')) {
                    open.pop_back();
                    continue;
                }
                if (!take(',') || (open.back() == '{' && !key()))
                    return false;
                break;
            }
        }
    }

  private:
    bool take(char c)
    {
        return at_ < end_ && *at_ == c ? (++at_, true) : false;
    }
    void skip_spaces()
    {
        while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r'))
            ++at_;
    }
    bool key()
    {
        skip_spaces();
        if (!string())
            return false;
        skip_spaces();
        return take(':');
    }
    bool scalar()
    {
        return string() || number() || word("true") || word("false") || word("null");
    }
    bool word(std::string_view expected)
    {
        if (static_cast<std::size_t>(end_ - at_) < expected.size() ||
            std::string_view(at_, expected.size()) != expected)
            return false;
        at_ += expected.size();
        return true;
    }
    bool string()
    {
        if (!take('"'))
            return false;
        while (at_ < end_ && *at_ != '"') {
            if (static_cast<unsigned char>(*at_) < 0x20)
                return false;
            if (*at_++ == '\\' && !escape())
                return false;
        }
        return take('"');
    }
    bool escape()
    {
        if (at_ == end_)
            return false;
        char c = *at_++;
        if (c != 'u')
            return std::strchr("\"\\/bfnrt", c) != nullptr && c != '\0';
        for (int i = 0; i < 4; i++, ++at_)
            if (at_ == end_ || !std::strchr("0123456789abcdefABCDEF", *at_) || *at_ == '\0')
                return false;
        return true;
    }
    bool digits()
    {
        const char *begin = at_;
        while (at_ < end_ && *at_ >= '0' && *at_ <= '9')
            ++at_;
        return at_ != begin;
    }
    bool number()
    {
        const char *begin = at_;
        take('-');
        if (!take('0') && !digits())
            return at_ = begin, false;
        if (take('.') && !digits())
            return false;
        if (take('e') || take('E')) {
            if (!take('+'))
                take('-');
            return digits();
        }
        return true;
    }

    const char *at_, *end_;
};

} // namespace detail

} // namespace commy

#endif /* COMMY_JSON_HPP */
