# frozen_string_literal: true

require "json"
require "securerandom"
require "uri"

module TaskerCore
  class Dashboard
    # What the dashboard needs of a Rack environment.
    class Request
      COOKIE = "tasker_form"
      FORM = "application/x-www-form-urlencoded"
      MOST = 1_048_576 # bytes of a form

      def initialize(env)
        @env = env
      end

      def post? = @env["REQUEST_METHOD"] == "POST"
      def base = @env["SCRIPT_NAME"].to_s
      def path = @env["PATH_INFO"].to_s

      # @return [String] the host without its port
      def host = @env["HTTP_HOST"].to_s.downcase.sub(/:\d+\z/, "")

      # @return [Hash{String => String}]
      def params
        @params ||= begin
          query = decode(@env["QUERY_STRING"].to_s)
          post? ? query.merge(decode(body)) : query
        end
      end

      # @return [String, nil] what the person said about the change
      def reason = (params["reason"].to_s.strip.then { |text| text.empty? ? nil : text })

      # @raise [InvalidArgument]
      def json(name)
        JSON.parse(params.fetch(name, ""))
      rescue JSON::ParserError
        raise InvalidArgument, "the results have to be JSON, such as {\"paid\": true}, \"text\" or null"
      end

      # The form has to carry what the cookie says, which no other site can read, and the browser, where it
      # says anything, has to say that the form came from here.
      def own_form?
        origin = @env["HTTP_ORIGIN"]
        site = @env["HTTP_SEC_FETCH_SITE"]
        return false unless origin.nil? || origin.sub(%r{\Ahttps?://}, "") == @env["HTTP_HOST"]
        return false unless site.nil? || %w[same-origin none].include?(site)

        !cookie.nil? && same?(cookie, params["form"].to_s)
      end

      # @return [Array(String, String)] a Set-Cookie line, nil when the browser has one, and what forms have to carry
      def token
        return [nil, cookie] if cookie

        fresh = SecureRandom.hex(16)
        secure = @env["rack.url_scheme"] == "https" ? "; Secure" : ""
        ["#{COOKIE}=#{fresh}; Path=#{base.empty? ? "/" : base}; HttpOnly; SameSite=Strict#{secure}", fresh]
      end

      private

      def cookie
        @cookie ||= @env["HTTP_COOKIE"].to_s[/(?:\A|;\s*)#{COOKIE}=(\h{32})(?:;|\z)/o, 1]
      end

      def same?(one, other)
        one.bytesize == other.bytesize && one.bytes.zip(other.bytes).sum { |a, b| a ^ b }.zero?
      end

      def body
        return "" unless @env["CONTENT_TYPE"].to_s.start_with?(FORM)

        @env["rack.input"]&.read(MOST).to_s
      end

      # Only text that the database can take, and the last of what is given twice.
      def decode(query)
        URI.decode_www_form(query).to_h.select { |*pair| pair.all? { |text| text.valid_encoding? && !text.include?("\0") } }
      rescue ArgumentError
        {}
      end
    end
  end
end
